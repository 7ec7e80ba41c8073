"""SageMaker's hosting operations over the store."""
