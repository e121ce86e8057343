"""Kubeflow's Model Registry: the part of its REST API that looks up a model and registers one.

Source: https://github.com/kubeflow/model-registry/blob/main/api/openapi/model-registry.yaml (v1alpha3).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from model_core.errors import StoreError, UserError, printable, quoted
from model_core.variables import REGISTRY_TOKEN, REGISTRY_TOKEN_FILE
from model_core.web.connection import Answer, Connection, Service, UnknownError
from model_core.web.credentials import Variables

FLAG = "--model-registry"
EXAMPLE = "http://model-registry-service.kubeflow:8080"
_PREFIX = "/api/model_registry/v1alpha3"
REGISTRY = Service(
    title="Kubeflow's Model Registry",
    prefix=_PREFIX,
    variables=Variables({"Authorization": (REGISTRY_TOKEN, REGISTRY_TOKEN_FILE)}, address=FLAG),
    if_denied=f"set {REGISTRY_TOKEN} to a bearer token, or {REGISTRY_TOKEN_FILE} to a file that holds one",
    if_forbidden="ask for permission",
    if_another=f"set {REGISTRY_TOKEN} if it asks for credentials, and check {FLAG}, e.g. {EXAMPLE}",
    checks="the name of the model",
)
_PAGE = "100"
"""Entries in one answer."""
_MOST_PAGES = 100
"""Most answers for one list, which a registry could go on with without end."""
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, StringConstraints(max_length=4096)]


class Property(Answer):
    """A value that is kept with a version; only text is read."""

    string_value: Text | None = None


class RegisteredModel(Answer):
    """A registered model, without its versions."""

    id: Id
    name: Text


class ModelVersion(Answer):
    """A version of a model."""

    id: Id
    name: Text
    state: Literal["LIVE", "ARCHIVED"] = "LIVE"
    created: int = Field(default=0, alias="createTimeSinceEpoch")
    """Milliseconds since 1970."""
    properties: dict[str, Property] = Field(default={}, alias="customProperties")


class _Versions(Answer):
    """A page of versions."""

    items: tuple[ModelVersion, ...]
    next_page: str = Field(default="", alias="nextPageToken")


class _Artifact(Answer):
    """Where the files of a version are."""

    id: Id
    kind: Text = Field(default="", alias="artifactType")
    uri: Text = ""


class _Artifacts(Answer):
    """The artifacts of a version."""

    items: tuple[_Artifact, ...]


class _Models(Answer):
    items: tuple[RegisteredModel, ...]


class Registry:
    """The registry at ``url``.

    Raises:
        UserError: ``url`` is not a URL, or the token cannot be sent.

    Every method raises:
        DeniedError: the registry asks for credentials, or refuses those it was given.
        StoreError: it cannot be reached, or something else answers.
        UserError: it refuses the request.
    """

    def __init__(self, url: str) -> None:
        self._connection = Connection(REGISTRY, checked_registry(url))
        self.url = self._connection.host

    def check(self) -> None:
        """Check that a registry of this version answers.

        Raises:
            StoreError: none does.
        """
        try:
            self._connection.ask("GET", "/registered_models", _Models, query={"pageSize": "1"})
        except UnknownError as error:
            raise StoreError(
                f"{self.url} has no {_PREFIX}: it is another server, or a registry of another version; check "
                f"{FLAG}, e.g. {EXAMPLE}"
            ) from error

    def model(self, name: str) -> RegisteredModel | None:
        """The model of that name; ``None`` if there is none."""
        try:
            return self._connection.ask("GET", "/registered_model", RegisteredModel, query={"name": name})
        except UnknownError:
            return None

    def versions(self, model: RegisteredModel) -> list[ModelVersion]:
        """All versions of a model, the newest first."""
        found: list[ModelVersion] = []
        token = ""
        for _ in range(_MOST_PAGES):
            query = {"pageSize": _PAGE, "nextPageToken": token}
            path = f"/registered_models/{model.id}/versions"
            page = self._connection.ask("GET", path, _Versions, query=query)
            found += page.items
            token = page.next_page
            if not token:
                return sorted(found, key=lambda version: (version.created, int_of(version.id)), reverse=True)
        raise StoreError(f"{self.url} lists the versions of {model.name} without end; check the registry")

    def model_uri(self, version: ModelVersion) -> str | None:
        """Where the model of a version is; ``None`` if the registry does not say."""
        path = f"/model_versions/{version.id}/artifacts"
        found = self._connection.ask("GET", path, _Artifacts, query={"pageSize": _PAGE})
        return next((each.uri for each in found.items if each.kind == "model-artifact" and each.uri), None)

    def create_model(self, name: str, description: str) -> RegisteredModel:
        """Make a model without versions; the one of that name, if somebody else made it meanwhile."""
        body = {"name": name, "description": description}
        try:
            return self._connection.ask("POST", "/registered_models", RegisteredModel, body=body)
        except UserError:
            # Another run may just have made it.
            if (found := self.model(name)) is not None:
                return found
            raise

    def create_version(
        self, model: RegisteredModel, name: str, description: str, properties: Mapping[str, str]
    ) -> ModelVersion:
        """Make a version; ``add_artifact`` then says where its files are."""
        body: dict[str, Any] = {
            "name": name,
            "registeredModelId": model.id,
            "description": description,
            "state": "LIVE",
            "customProperties": {
                key: {"metadataType": "MetadataStringValue", "string_value": value}
                for key, value in properties.items()
            },
        }
        path = f"/registered_models/{model.id}/versions"
        return self._connection.ask("POST", path, ModelVersion, body=body)

    def add_artifact(self, version: ModelVersion, name: str, uri: str, run: str) -> None:
        """Say where the files of a version are, and which run made them."""
        body = {
            "artifactType": "model-artifact",
            "name": name,
            "uri": uri,
            "state": "LIVE",
            "modelFormatName": "safetensors",
            "modelSourceKind": "kfp",
            "modelSourceClass": "pipelinerun",
            "modelSourceName": run,
        }
        self._connection.ask("POST", f"/model_versions/{version.id}/artifacts", _Artifact, body=body)


def int_of(text: str) -> int:
    """A registry's id as a number, which orders versions of the same millisecond; 0 for an id that is no number."""
    return int(text) if text.isascii() and text.isdigit() else 0


def checked_registry(url: str) -> str:
    """The registry's URL as a user gave it, less the API's path and a slash at its end; no message repeats a password.

    Raises:
        UserError: it is not a URL, or has a query, a fragment or credentials.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if "@" in url:
        raise UserError(
            f"{FLAG} holds credentials; put a token into {REGISTRY_TOKEN}, and leave the URL bare"
        )
    if not fits or printable(url) != url or any(character in url for character in " ?#"):
        raise UserError(f"{FLAG} {quoted(url)} is not the URL of a registry; write e.g. {EXAMPLE}")
    return url.rstrip("/").removesuffix(_PREFIX)
