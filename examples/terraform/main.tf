# A model behind an endpoint, and a bucket with an object, on a site that `nearstream up` runs.
#
#   eval "$(nearstream env)"
#   terraform init && terraform apply

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "site" {
  description = "Where the site listens."
  type        = string
  default     = "http://127.0.0.1:8080"
}

variable "model_id" {
  type    = string
  default = "builtin"
}

variable "replicas" {
  type    = number
  default = 1
}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true

  endpoints {
    sagemaker = var.site
    s3        = var.site
    iam       = var.site
    sts       = var.site
  }
}

resource "aws_s3_bucket" "assistant" {
  bucket = "assistant-files"
}

resource "aws_s3_object" "notes" {
  bucket  = aws_s3_bucket.assistant.id
  key     = "notes/replicas.txt"
  content = "${var.replicas} replicas"
}

resource "aws_sagemaker_model" "assistant" {
  name               = "terraform-assistant"
  execution_role_arn = "arn:aws:iam::123456789012:role/not-used"
  tags               = { team = "assistants" }

  primary_container {
    image       = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6-gpu-py311-cu124-ubuntu22.04"
    environment = { HF_MODEL_ID = var.model_id }
  }
}

# A configuration cannot be changed: a new one is made, the endpoint moves to it, the old one goes.
resource "aws_sagemaker_endpoint_configuration" "assistant" {
  name_prefix = "terraform-assistant-"

  production_variants {
    variant_name           = "AllTraffic"
    model_name             = aws_sagemaker_model.assistant.name
    initial_instance_count = var.replicas
    instance_type          = "ml.g5.xlarge"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "assistant" {
  name                 = "terraform-assistant"
  endpoint_config_name = aws_sagemaker_endpoint_configuration.assistant.name
}

output "endpoint" {
  value = aws_sagemaker_endpoint.assistant.name
}
