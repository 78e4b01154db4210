"""How a worker process of the task runner begins. Nothing heavy may be imported here: OpenMP reads the number of its
threads when torch is first imported, which must come later."""

import multiprocessing
import os
import threading


def begin(workers: int) -> None:
    """Give this process its share of the cores, and let it end with the one that started it.

    Left to itself each worker would use every core, and their threads would wait for each other: an evaluation took
    four times as long so. torch.set_num_threads would not do, since it holds for the thread that calls it alone.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End when the process that started this one is gone: this one would wait for work for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
