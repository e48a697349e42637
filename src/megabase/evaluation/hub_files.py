"""Download the files of a task from the Hugging Face hub, or find them in its cache."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from megabase.errors import InputError
from megabase.evaluation.tasks.task import Task
from megabase.run.hub import seconds_for_hub, why_unreachable


def hub_folder(task: Task, *, offline: bool = False) -> Path:
    """Download the folder of a task, unless it is cached; return the folder of the repository.

    Parameters
    ----------
    task
        A task with a `hub_id`.
    offline
        Use only cached files. `HF_HUB_OFFLINE` sets this for every call. A hub that does not
        answer one short request is treated as offline.

    Raises
    ------
    InputError
        If the task is not on the hub, or its files are neither cached nor available.
    """
    if not task.hub_id:
        raise InputError(
            f"{task.name} is not on the hub; pass the folder of its data "
            f"({task.source.url or 'none is published'})"
        )
    unreachable = (
        "offline" if offline else why_unreachable(task.hub_id, "README.md", repo_type="dataset")
    )
    try:
        folder = snapshot_download(
            task.hub_id,
            repo_type="dataset",
            allow_patterns=[f"{task.hub_folder}/*"],
            local_files_only=unreachable is not None,
            etag_timeout=seconds_for_hub(),
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = (
            f"{unreachable}, and it is not in the cache"
            if unreachable
            else str(error).splitlines()[0]
        )
        raise InputError(
            f"{task.hub_id} could not be downloaded from the hub ({reason}); pass the folder with "
            f"the data of {task.name}"
        ) from error
    return Path(folder)
