"""The Hugging Face hub: one short attempt to reach it, and then the files of a repository."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
)

_SECONDS = 5.0
_TRY_LATER = 408, 429  # with 500 and above, what the hub's library would ask again for


def seconds_for_hub() -> float:
    """Return how long a request to the hub may take: 5 s, unless HF_HUB_ETAG_TIMEOUT is set."""
    is_chosen = bool(os.environ.get("HF_HUB_ETAG_TIMEOUT"))
    return float(constants.HF_HUB_ETAG_TIMEOUT) if is_chosen else _SECONDS


def why_unreachable(
    hub_id: str,
    filename: str,
    *,
    repo_type: str = "model",
    revision: str | None = None,
    token: bool | str | None = None,
) -> str | None:
    """Ask the hub once for a file, with a short timeout and no retry.

    Parameters
    ----------
    hub_id
        ``owner/name`` of the repository.
    filename
        A file of it; that it is missing is an answer, too.
    repo_type
        ``model`` or ``dataset``.
    revision
        Branch, tag or commit.
    token
        As `huggingface_hub` takes it.

    Returns
    -------
    reason
        Why the hub did not answer; None if it did, whatever the answer.
    """
    url = hf_hub_url(hub_id, filename, repo_type=repo_type, revision=revision)
    try:
        get_hf_file_metadata(url, token=token, timeout=seconds_for_hub())
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except (RemoteEntryNotFoundError, EntryNotFoundError):
        return None
    except HfHubHTTPError as error:
        status = error.response.status_code
        return f"HTTP status {status}" if status in _TRY_LATER or status >= 500 else None
    except Exception as error:  # noqa: BLE001 the hub's library changed the one below it, and its errors
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def find_on_hub(hub_id: str, filename: str, options: Mapping[str, Any]) -> Path | None:
    """Download a file of a model repository, or find it in the cache; None if it has none.

    Parameters
    ----------
    hub_id
        ``owner/name`` of the repository.
    filename
        The file.
    options
        Of `huggingface_hub.hf_hub_download`: revision, token, cache_dir, local_files_only, ...

    Raises
    ------
    OSError
        If there is no such repository, or it may not be read.
    """
    try:
        found = hf_hub_download(hub_id, filename, etag_timeout=seconds_for_hub(), **options)
    except EntryNotFoundError:
        return None
    return Path(found)
