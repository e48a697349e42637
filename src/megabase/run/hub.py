"""The Hugging Face hub: a quick check that it can be reached, and files of a repository."""

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
_TRY_LATER = 408, 429  # with 500 and above, the statuses that the hub's library retries


def seconds_for_hub() -> float:
    """Return the timeout of a request to the hub: 5 s, unless HF_HUB_ETAG_TIMEOUT is set."""
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
    """Request a file from the hub once, with a short timeout, and return why this failed.

    Parameters
    ----------
    hub_id
        ``owner/name`` of the repository.
    filename
        A file of the repository; it may be missing there.
    repo_type
        ``model`` or ``dataset``.
    revision
        Branch, tag or commit; None for the default branch.
    token
        Access token, True for the stored one, or False for none.

    Returns
    -------
    reason
        Why the hub did not answer; None if it answered, even with an error such as "not found".
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
    except Exception as error:  # noqa: BLE001 the errors depend on the HTTP library of huggingface_hub
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def find_on_hub(hub_id: str, filename: str, options: Mapping[str, Any]) -> Path | None:
    """Return the path of a file of a model repository, downloaded or cached; None if absent.

    Parameters
    ----------
    hub_id
        ``owner/name`` of the repository.
    filename
        Name of the file.
    options
        Options of `huggingface_hub.hf_hub_download`: revision, token, cache_dir, ...

    Raises
    ------
    OSError
        If the repository does not exist or cannot be accessed.
    """
    try:
        found = hf_hub_download(hub_id, filename, etag_timeout=seconds_for_hub(), **options)
    except EntryNotFoundError:
        return None
    return Path(found)
