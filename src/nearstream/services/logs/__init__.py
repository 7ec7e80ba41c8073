"""CloudWatch Logs: what the containers of endpoints wrote."""
