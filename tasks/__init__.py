"""What each stage of RLMEC does: plain functions, files in, files out. No Prefect and no MLflow here."""
