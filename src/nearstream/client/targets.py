"""Where a client's calls go: an endpoint of SageMaker's hosting API, or a model server itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

import msgspec

from nearstream.client.bodies import EventStreamBody, PlainBody, StreamedBody
from nearstream.client.signing import Credentials, signed
from nearstream.config import aws_environment
from nearstream.config.settings import load
from nearstream.core.errors import Missing
from nearstream.home.paths import Home

JSON = "application/json"
Messages = Sequence[Mapping[str, Any]]
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST, ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Target(Protocol):
    """What a client calls; see `SageMakerEndpoint` and `ModelServer`."""

    @property
    def health_url(self) -> str: ...

    @property
    def ca_bundle(self) -> Path | None:
        """A file of authorities to trust beside those of the machine."""
        ...

    def invocation(self, body: bytes, content_type: str, *, streamed: bool) -> HttpRequest:
        """A call with a body of the caller's own."""
        ...

    def generation(self, prompt: str | Messages, parameters: Parameters) -> HttpRequest:
        """A streamed call: a text to continue, or a conversation to answer."""
        ...

    def streamed_body(self) -> StreamedBody:
        """How a streamed answer is framed."""
        ...


@dataclass(frozen=True, slots=True)
class SageMakerEndpoint:
    """An endpoint of SageMaker's hosting API, at `url` (AWS's own when it is not given); calls are signed.

    `ca_bundle` is a file of certificate authorities to trust beside those of the machine.
    """

    name: str
    credentials: Credentials
    url: str = ""
    ca_bundle: Path | None = None

    @classmethod
    def from_environment(cls, name: str) -> SageMakerEndpoint:
        """Keys, region and address from the variables that boto3 reads, which `nearstream env` prints.

        `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` (or
        `AWS_DEFAULT_REGION`), `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME` (or `AWS_ENDPOINT_URL`), `AWS_CA_BUNDLE`.
        Raises Missing.
        """
        found = aws_environment.read()
        keys = Credentials(found.access_key, found.secret_key, found.region, found.session_token)
        return cls(name, keys, found.endpoint_url or "", found.ca_bundle)

    @classmethod
    def from_home(cls, name: str, home: Path | str | None = None) -> SageMakerEndpoint:
        """An endpoint of the site that runs on this machine, with the keys in its home folder.

        `home` is `NEARSTREAM_HOME` or ~/.nearstream when it is not given. Raises Missing where no site runs.
        """
        place = Home(load({"home": home}).home)
        own = place.credentials()
        running = place.running()
        if running is None:
            raise Missing(f"nearstream is not running on {place.path}: start it with `nearstream up`.")
        keys = Credentials(own.access_key, own.secret_key, own.region)
        return cls(name, keys, running.url, place.bundle_file)

    @property
    def health_url(self) -> str:
        return f"{self._base}/health"

    def invocation(self, body: bytes, content_type: str, *, streamed: bool) -> HttpRequest:
        """InvokeEndpoint, or InvokeEndpointWithResponseStream."""
        action = "invocations-response-stream" if streamed else "invocations"
        url = f"{self._base}/endpoints/{quote(self.name, safe='')}/{action}"
        headers = signed("POST", url, body, {"Content-Type": content_type}, self.credentials)
        return HttpRequest(url, headers, body)

    def generation(self, prompt: str | Messages, parameters: Parameters) -> HttpRequest:
        """TGI and LMI containers take the same bodies."""
        document = _tgi_text(prompt, parameters) if isinstance(prompt, str) else _chat(prompt, parameters)
        return self.invocation(msgspec.json.encode(document), JSON, streamed=True)

    def streamed_body(self) -> StreamedBody:
        """The parts of SageMaker's event stream."""
        return EventStreamBody()

    @property
    def _base(self) -> str:
        region = self.credentials.region
        return self.url.rstrip("/") or f"https://runtime.sagemaker.{region}.amazonaws.com"


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A model server at `url`, called without AWS: `nearstream serve`, or another that speaks its `wire`.

    "openai" calls /v1/completions and /v1/chat/completions; "tgi" calls /generate_stream and
    /v1/chat/completions. `model` is the name in the body, which some servers need.
    """

    url: str
    wire: Literal["openai", "tgi"] = "openai"
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ca_bundle: Path | None = None

    @property
    def health_url(self) -> str:
        return f"{self.url.rstrip('/')}/health"

    def invocation(self, body: bytes, content_type: str, *, streamed: bool) -> HttpRequest:
        """The body says whether the answer is to be streamed."""
        return self._call("/invocations", body, content_type)

    def generation(self, prompt: str | Messages, parameters: Parameters) -> HttpRequest:
        """The route and the body that `wire` has for it."""
        if not isinstance(prompt, str):
            path, document = "/v1/chat/completions", self._named(_chat(prompt, parameters))
        elif self.wire == "openai":
            text = {"prompt": prompt, **_openai(parameters)}
            path, document = "/v1/completions", self._named(text)
        else:
            path, document = "/generate_stream", _tgi_text(prompt, parameters)
        return self._call(path, msgspec.json.encode(document), JSON)

    def streamed_body(self) -> StreamedBody:
        """The bytes as they come."""
        return PlainBody()

    def _named(self, document: dict[str, Any]) -> dict[str, Any]:
        return document if self.model is None else {"model": self.model, **document}

    def _call(self, path: str, body: bytes, content_type: str) -> HttpRequest:
        key = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        return HttpRequest(self.url.rstrip("/") + path, {"Content-Type": content_type, **key}, body)


def _tgi_text(prompt: str, parameters: Parameters) -> dict[str, Any]:
    return {"inputs": prompt, "parameters": {"details": True, **parameters}, "stream": True}


def _chat(messages: Messages, parameters: Parameters) -> dict[str, Any]:
    return {"messages": list(messages), **_openai(parameters)}


def _openai(parameters: Parameters) -> dict[str, Any]:
    renamed = {"max_tokens" if key == "max_new_tokens" else key: value for key, value in parameters.items()}
    return {"stream": True, "stream_options": {"include_usage": True}, **renamed}
