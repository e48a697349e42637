"""The files of a task from the Hugging Face hub, or from what was fetched of it before."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from megabase.errors import InputError
from megabase.evaluation.tasks.task import Task
from megabase.run.hub import seconds_for_hub, why_unreachable


def hub_folder(task: Task, *, offline: bool = False) -> Path:
    """Fetch the folder of a task, once, and give the folder of the repository.

    Parameters
    ----------
    task
        With a `hub_id`.
    offline
        Take what was fetched before, and do not go to the network. `HF_HUB_OFFLINE` says
        the same for every call. A hub that does not answer one short request counts as
        offline, too.

    Raises
    ------
    InputError
        If the task is not on the hub, or cannot be had from there.
    """
    if not task.hub_id:
        raise InputError(
            f"{task.name} is not on the hub; give the folder of its data "
            f"({task.source.url or 'there is no published one'})"
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
            f"{unreachable}, and it was not fetched before"
            if unreachable
            else str(error).splitlines()[0]
        )
        raise InputError(
            f"{task.hub_id} cannot be had from the hub ({reason}); give the folder of the data of "
            f"{task.name}"
        ) from error
    return Path(folder)
