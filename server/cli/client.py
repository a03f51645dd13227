"""A small client of the HTTP API for the command line (standard library only, so that it starts quickly)."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
from collections.abc import Iterator
from typing import IO, Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import orjson

from yurt.server.cli.secure import ApiError, TlsChoice, environment

__all__ = ["ApiError", "Client", "TlsChoice", "environment", "job_path"]

DEFAULT_ADDRESS = "http://127.0.0.1:4646"
PART_BYTES = 1 << 20
TIMEOUT_SECONDS = 330.0  # longer than the longest blocking query


class Client:
    """One server, spoken to over HTTP.

    Address, region, namespace and token come from flags, else from YURT_* or NOMAD_* variables (spec cluster §16).
    """

    def __init__(
        self,
        *,
        address: str = "",
        region: str = "",
        namespace: str = "",
        token: str = "",
        tls: TlsChoice | None = None,
    ) -> None:
        self.address = address or environment("ADDR", DEFAULT_ADDRESS)
        self.region = region or environment("REGION")
        self.namespace = namespace or environment("NAMESPACE")
        self.token = token or environment("TOKEN")
        self.tls = (tls or TlsChoice()).filled()

    def get(self, path: str, /, **query: str) -> Any:
        """The decoded body of a GET; raises `ApiError`."""
        return self.request("GET", path, query=query)[0]

    def put(self, path: str, body: Any = None, **query: str) -> Any:
        """The decoded body of a PUT; raises `ApiError`."""
        return self.request("PUT", path, query=query, body=body)[0]

    def delete(self, path: str, **query: str) -> Any:
        """The decoded body of a DELETE; raises `ApiError`."""
        return self.request("DELETE", path, query=query)[0]

    def request(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None
    ) -> tuple[Any, dict[str, str]]:
        """Send one request; return its decoded body (None if empty) and its headers in lower case."""
        payload = None if body is None else orjson.dumps(body)
        with self._answer(method, path, query or {}, payload) as answer:
            data = answer.read()
            return (orjson.loads(data) if data else None), _headers_of(answer)

    def download(self, path: str, file: IO[bytes], **query: str) -> dict[str, str]:
        """Write the body of a GET into a file; return the headers in lower case. Raises `ApiError`."""
        with self._answer("GET", path, query, None) as answer:
            while part := answer.read(PART_BYTES):
                file.write(part)
            return _headers_of(answer)

    def upload(self, path: str, file: IO[bytes], **query: str) -> None:
        """PUT a file as it is; raises `ApiError`."""
        with self._answer("PUT", path, query, file) as answer:
            answer.read()

    def stream(self, path: str, /, **query: str) -> Iterator[bytes]:
        """The body of a GET piece by piece, as it comes; raises `ApiError`."""
        with self._answer("GET", path, query, None) as answer:
            while part := answer.read1(PART_BYTES):
                yield part

    @contextlib.contextmanager
    def _answer(
        self, method: str, path: str, query: dict[str, str], body: bytes | IO[bytes] | None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer to be read; a refusal, or none at all, is an `ApiError`."""
        parameters = {k: v for k, v in query.items() if v != ""}
        for name in ("region", "namespace"):
            if value := getattr(self, name):
                parameters.setdefault(name, value)
        target = path + (("&" if "?" in path else "?") + urlencode(parameters) if parameters else "")
        connection = self._connect()
        try:
            headers = self._headers()
            if body is not None and not isinstance(body, bytes):
                headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            if answer.status >= 300:
                data = answer.read()
                text = f"Unexpected response code: {answer.status} ({data.decode(errors='replace')})"
                raise ApiError(answer.status, text, _decoded(data))
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, f'{method} "{self.address}{target}": {error}') from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["X-Nomad-Token"] = self.token
        if credentials := environment("HTTP_AUTH"):
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        return headers

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address if "://" in self.address else f"http://{self.address}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            self._refuse_address()
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port or 4646, timeout=TIMEOUT_SECONDS)
        return http.client.HTTPSConnection(
            parts.hostname, parts.port or 4646, timeout=TIMEOUT_SECONDS, context=self.tls.context()
        )

    def _refuse_address(self) -> NoReturn:
        raise ApiError(0, f'Invalid address "{self.address}": want http://HOST:PORT or https://HOST:PORT')


def _headers_of(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def job_path(job_id: str, *rest: str) -> str:
    """The path of a job's endpoint, with the ID quoted."""
    return "/".join(["/v1/job", quote(job_id, safe=""), *rest])
