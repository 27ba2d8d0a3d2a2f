"""Published weights from the Hugging Face Hub, by ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``."""

import re
from importlib import import_module
from pathlib import Path

from rsgt.inputs import InputError
from rsn.training.published import CONFIG, WEIGHTS

_NAMED = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def is_address(text: str) -> bool:
    """Whether a text names weights on the Hub; a path has made ``hf://`` into ``hf:/``."""
    return text.startswith("hf:/")


def fetch(address: str) -> Path:
    """Get published weights into the Hub's own cache on this machine, where they are not there yet.

    Parameters
    ----------
    address : str
        ``hf://OWNER/NAME``, and after an ``@`` a branch, tag or commit.

    Returns
    -------
    Path
        The folder with both files; ``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` act as they always do.

    Raises
    ------
    InputError
        Where the package of the extra ``hub`` is missing, the address is none, there are no such weights, or
        the Hub cannot be reached and they are not in the cache.
    """
    text = address.removeprefix("hf:").lstrip("/")
    named = _NAMED.fullmatch(text)
    if not named:
        raise InputError(f"{address}: expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    try:
        hub = import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(
            f"{address}: needs the package of an extra: pip install 'region-support[hub]'"
        ) from error
    name, revision = named.groups()
    try:
        paths = [Path(hub.hf_hub_download(name, file, revision=revision)) for file in (CONFIG, WEIGHTS)]
    # What a client of a service raises comes from its own and several other libraries.
    except Exception as error:
        raise InputError(f"hf://{text}: {_reason(error)}") from error
    return paths[0].parent


def _reason(error: Exception) -> str:
    """Say in a few words why there is nothing, and what to do."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"EntryNotFoundError", "RemoteEntryNotFoundError"} and "LocalEntryNotFoundError" not in kinds:
        return f"has no {CONFIG} and {WEIGHTS} of `rsn publish`; give another"
    if "RevisionNotFoundError" in kinds:
        return "there is no such revision; give another, or none"
    if kinds & {"RepositoryNotFoundError", "GatedRepoError"}:
        return "there is no such repository, or it is not open to you; check the name, or use `hf auth login`"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"cannot be had: no network? ({lines[0]}); get the folder by other means and give its path"
