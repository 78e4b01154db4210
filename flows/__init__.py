"""When stages run and in what order: Prefect and MLflow live here and nowhere else."""
