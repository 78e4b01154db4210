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
    weight = definitions["TrainPolicyOptions"]["properties"]["edited_weight"]
    assert (weight["default"], weight["description"]) == (1.0, "imitation weight of a rewrite's edited tokens")
