"""STS: who calls, and credentials for some time."""
