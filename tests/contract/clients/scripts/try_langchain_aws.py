"""langchain-aws: SagemakerEndpoint, which streams by the LineIterator of AWS's posts.

It asks the endpoint that is named in place of an address; address and keys are in the environment.
"""

from __future__ import annotations

import json
import logging

from conversation import converse
from langchain_aws.llms import SagemakerEndpoint
from langchain_aws.llms.sagemaker_endpoint import LLMContentHandler

logging.getLogger("langchain_aws").setLevel(logging.CRITICAL)  # its words come back as the answer
QUESTION = "What is a token?"


class Lines(LLMContentHandler):
    """One line of a stream at a time, as LMI's containers before 0.26 write them."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, prompt: str, model_kwargs: dict) -> bytes:
        return json.dumps({"inputs": prompt, "parameters": model_kwargs}).encode()

    def transform_output(self, output: bytes) -> str:
        return json.loads(output)["outputs"][0]


class AllLines(Lines):
    """The same lines, all at once."""

    def transform_output(self, output) -> str:
        return "".join(json.loads(line)["outputs"][0] for line in output.read().splitlines())


class Document(Lines):
    """One JSON document, however many pieces it was made in."""

    def transform_output(self, output) -> str:
        return json.loads(output.read())["generated_text"]


def model(endpoint: str, handler: LLMContentHandler, *, streaming: bool, **options) -> SagemakerEndpoint:
    options = {"max_new_tokens": 24} | options
    return SagemakerEndpoint(
        endpoint_name=endpoint, content_handler=handler, streaming=streaming, model_kwargs=options
    )


class Streaming:
    def pieces(self, endpoint: str) -> list[str]:
        return list(model(endpoint, Lines(), streaming=True).stream(QUESTION))

    def whole(self, endpoint: str) -> str:
        """It streams all the same, and puts the pieces together."""
        return model(endpoint, Lines(), streaming=True).invoke(QUESTION)

    def stops(self, endpoint: str) -> str:
        """langchain looks for the stop string in each piece by itself."""
        return "".join(model(endpoint, Lines(), streaming=True).stream(QUESTION, stop=["token"]))

    def wrong(self, endpoint: str) -> list[str]:
        return list(model(endpoint, Lines(), streaming=True, temperature=-1).stream(QUESTION))


class Whole:
    def lines(self, endpoint: str) -> str:
        return model(endpoint, AllLines(), streaming=False).invoke(QUESTION)

    def document(self, endpoint: str) -> str:
        return model(endpoint, Document(), streaming=False).invoke(QUESTION)

    def wrong(self, endpoint: str) -> str:
        return model(endpoint, Document(), streaming=False, temperature=-1).invoke(QUESTION)


converse({"streaming": Streaming(), "whole": Whole()})
