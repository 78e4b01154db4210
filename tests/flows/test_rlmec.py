"""The flow as a deployment or the Prefect UI sees it."""


def test_the_flows_form_offers_what_the_command_line_offers():
    from flows.rlmec import rlmec

    offered = rlmec.parameters.properties
    assert list(offered) == ["config", "force", "only", "until", "from_run"]
    assert rlmec.parameters.required == ["config"]


def test_the_form_knows_every_stages_options_and_what_they_mean():
    from flows.rlmec import rlmec

    definitions = rlmec.parameters.definitions
    assert "runner" in definitions["ExecutionOptions"]["properties"]
    clip = definitions["TrainPolicyOptions"]["properties"]["clip"]
    assert (clip["default"], clip["description"]) == (0.3, "ε, how far the ratio may stray from 1")
