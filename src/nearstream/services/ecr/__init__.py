"""ECR: the images of model servers that a site knows."""
