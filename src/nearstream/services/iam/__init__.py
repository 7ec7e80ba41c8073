"""IAM: the one role that a site has."""
