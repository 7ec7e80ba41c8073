"""Amazon resource names of the things we host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["model", "endpoint-config", "endpoint"]

_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


def partition(region: str) -> str:
    """The partition that `region` lies in: aws, aws-cn or aws-us-gov."""
    return next((name for prefix, name in _PARTITIONS if region.startswith(prefix)), "aws")


ROLE = "sagemaker_execution_role"
"""The one role of an account, which every key of a site acts in."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose resources these are: a twelve-digit account id, in one region."""

    id: str
    region: str

    def arn(self, kind: Kind, name: str) -> str:
        """The ARN of a SageMaker resource, which holds its name in lower case."""
        return f"arn:{partition(self.region)}:sagemaker:{self.region}:{self.id}:{kind}/{name.lower()}"

    @property
    def role_arn(self) -> str:
        """The ARN of the account's role."""
        return f"arn:{partition(self.region)}:iam::{self.id}:role/{ROLE}"

    def session_arn(self, session: str) -> str:
        """The ARN of who acts in the account's role under the name `session`."""
        return f"arn:{partition(self.region)}:sts::{self.id}:assumed-role/{ROLE}/{session}"

    def log_stream_arn(self, endpoint: str) -> str:
        """The ARN of the log group that SageMaker would keep for `endpoint`."""
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        return f"arn:{partition(self.region)}:logs:{self.region}:{self.id}:log-group:{group}"
