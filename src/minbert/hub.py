"""A repository of the model hub -> its files, from the cache or fetched into it once; every refusal is one sentence.

huggingface_hub keeps the cache and heeds its own environment variables: HF_HUB_OFFLINE, HF_ENDPOINT, HF_TOKEN, HF_HOME.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from minbert.errors import DataError, MinbertError, ModelError, shown

log = logging.getLogger("minbert")

Kind = Literal["model", "dataset"]
KINDS: dict[Kind, tuple[str, type[MinbertError]]] = {
    "model": ("encoder", ModelError),
    "dataset": ("data set", DataError),
}


class Repository:
    """A repository at one commit: that of the first file found, so that a change on the hub cannot mix two versions.

    Its methods raise ModelError, or DataError for a data set, where the hub cannot be asked or refuses.
    """

    def __init__(self, name: str, kind: Kind = "model") -> None:
        self.name, self.kind = name, kind
        self.what, self.error = KINDS[kind]
        self._commit: str | None = None
        self._is_announced = False

    @property
    def folder(self) -> Path:
        """All that the cache holds of it, and what it remembers not to be there; gone, everything is asked anew."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE) / f"{self.kind}s--{self.name.replace('/', '--')}"

    def find(self, *files: str) -> Path | None:
        """The first of these files that the repository has; None where it is known to have none of them.

        The hub is asked only for what the cache does not know; any of the files that the cache holds will do.
        """
        try:
            with _without_warnings():
                return self._find(files)
        except Exception as error:  # the hub's own errors, its HTTP library's, the disk's: no class joins them
            raise self.error(f"{self.what} '{self.name}' cannot be fetched: {self._refusal(error)}") from None

    def _find(self, files: tuple[str, ...]) -> Path | None:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import RemoteEntryNotFoundError

        kind, commit = self.kind, self._commit
        cached = {file: try_to_load_from_cache(self.name, file, repo_type=kind, revision=commit) for file in files}
        for file, found in cached.items():
            if isinstance(found, str):
                return self._at(file, found)
        for file in (file for file, found in cached.items() if found is None):  # else the cache knows: there is none
            self._announce()
            with contextlib.suppress(RemoteEntryNotFoundError):  # any other fault says nothing on what is there
                return self._at(file, hf_hub_download(self.name, file, repo_type=kind, revision=commit))
        return None

    def _at(self, file: str, path: str) -> Path:
        """The path of a file in the cache, SNAPSHOTS/COMMIT/FILE; from here on its commit is the repository's."""
        self._commit = Path(path).parents[file.count("/")].name
        return Path(path)

    def _announce(self) -> None:
        from huggingface_hub import constants

        if not self._is_announced and not constants.HF_HUB_OFFLINE:
            log.info("fetching the %s %s from the hub", self.what, self.name)
        self._is_announced = True

    def _refusal(self, error: Exception) -> str:
        """Why a file could not be had, and the remedy."""
        from huggingface_hub import constants, errors

        hub, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
        page = f"{hub}/{'datasets/' * (self.kind == 'dataset')}{self.name}"
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
        said = shown(str(cause), 160) or type(cause).__name__
        match cause:
            case errors.HFValidationError():
                why = f"the hub has no such names ({said}); correct it"
            case errors.OfflineModeIsEnabled():
                why = f"HF_HUB_OFFLINE is set, and the cache {cache} has not all of it; unset it and fetch it once"
            case errors.GatedRepoError():
                why = f"it is gated; accept its terms at {page}, and set HF_TOKEN to a token of that account"
            case errors.RepositoryNotFoundError():
                why = (
                    f"{hub} has none of that name, or a private one; correct the name, or set HF_TOKEN to a token of it"
                )
            case errors.RevisionNotFoundError():
                why = f"the version that the cache began with is gone; delete {self.folder} to begin anew"
            case errors.HfHubHTTPError(response=response) if response.status_code in (401, 403):
                why = f"{hub} refuses it ({response.status_code}); set HF_TOKEN to a token that may read it"
            case errors.HfHubHTTPError(response=response):
                why = f"{hub} answered {response.status_code}; try again later"
            case errors.FileMetadataError():
                why = f"{hub} does not answer as the hub does; correct HF_ENDPOINT, or look at your proxy"
            case OSError(strerror=str(reason)):
                why = f"the cache {cache} cannot be written ({reason}); make room, or set HF_HOME to another folder"
            case _:
                why = f"{hub} cannot be reached, or broke off ({said}); check your connection and try again"
        return why


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Keeps huggingface_hub's warnings (two lines a try, others on tokens) away, unless its level was set by hand."""
    from huggingface_hub.utils import logging as library

    level = library.get_verbosity()
    if level == logging.WARNING:
        library.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        library.set_verbosity(level)
