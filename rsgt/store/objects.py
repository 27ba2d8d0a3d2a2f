"""An object store's names with the part of ``pathlib.Path`` that stores are read and built by.

Only this module knows obstore; ``requests`` asks it on Zarr's behalf.
"""

import errno
import io
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from rsgt.inputs import InputError

SETTINGS = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_", "http": "", "https": ""}
"""Schemes of URLs that a store can have, and what the environment variables that say more begin with."""

AT_ONCE = 32
"""Requests under way at a time, where there are many to make."""

_RETRIES = {
    "max_retries": 8,
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    "retry_timeout": timedelta(seconds=60),
}
_CLIENT = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "300s"}


WAITS_S = (0.1, 0.3, 1.0, 3.0)
"""Seconds before a request is made again whose answer was cut off; obstore sees to those that fail."""


class StorageError(InputError):
    """What a store lies in can't be reached, or lets nobody in: of the store itself nothing is said."""


class ObjectPath(os.PathLike[str]):
    """A name in an object store, or on a web server: what lies there, or below it.

    It pickles as its URL: another process finds credentials in its own environment. What takes paths of this
    machine alone refuses it as the URL that it is.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in SETTINGS or not parts.netloc or parts.query or parts.fragment:
            raise InputError(
                f"{url}: got an unknown kind of URL, expected a path, file:///PATH, or one that begins with "
                f"{', '.join(f'{scheme}://' for scheme in SETTINGS)} and a bucket or host, without ? and #"
            )
        names = [name for name in parts.path.split("/") if name]
        if {".", ".."} & {*names}:
            raise InputError(f"{url}: got . or .. in a URL; write it in full")
        self.root, self.key = f"{parts.scheme}://{parts.netloc}", "/".join(names)
        self._shared: dict[str, Any] = {}

    def named(self, key: str) -> "ObjectPath":
        """Name another object of the same bucket, by its whole key."""
        named = object.__new__(type(self))
        named.root, named.key, named._shared = self.root, key, self._shared
        return named

    def __reduce__(self) -> tuple[type["ObjectPath"], tuple[str]]:
        return type(self), (str(self),)

    def __str__(self) -> str:
        return f"{self.root}/{self.key}".rstrip("/")

    __fspath__ = __str__

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str | PurePosixPath) -> "ObjectPath":
        return self.joinpath(str(name)) if str(name) else self

    def joinpath(self, *names: str) -> "ObjectPath":
        """Name what lies below."""
        return self.named("/".join([*filter(None, [self.key]), *names]))

    @property
    def name(self) -> str:
        """The last part of the name."""
        return self.key.rpartition("/")[2] or self.root.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part of the name without its suffix."""
        return PurePosixPath(self.name).stem

    def with_suffix(self, suffix: str) -> "ObjectPath":
        """Name what differs in its suffix."""
        return self.named(str(PurePosixPath(self.key).with_suffix(suffix)))

    def absolute(self) -> "ObjectPath":
        """The same: a URL says where it is."""
        return self

    resolve = absolute

    @property
    def listed(self) -> bool:
        """Whether what lies below a name can be listed: web servers do not tell."""
        return not self.root.startswith("http")

    @property
    def client(self) -> Any:
        """Store that obstore keeps of the bucket, made with the first use.

        Raises
        ------
        InputError
            Where obstore is missing, or its settings are none.
        """
        if "client" not in self._shared:
            kinds = obstore_for(self).store
            told = self.root, *(v for name, v in os.environ.items() if name.upper().endswith("ENDPOINT_URL"))
            options = {**_CLIENT, "allow_http": any(url.startswith("http://") for url in told)}
            make = kinds.from_url if self.listed else kinds.HTTPStore.from_url
            with self.told():
                self._shared["client"] = make(self.root, client_options=options, retry_config=_RETRIES)
        return self._shared["client"]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what obstore raises into FileNotFoundError, FileExistsError or StorageError, in one line."""
        kinds = obstore_for(self).exceptions
        try:
            yield
        except FileNotFoundError as error:
            if re.search("NoSuchBucket|ContainerNotFound", str(error)):
                raise self._refused(error) from error
            raise FileNotFoundError(errno.ENOENT, "No such object", str(self)) from error
        except (kinds.AlreadyExistsError, kinds.PreconditionError) as error:
            raise FileExistsError(errno.EEXIST, "There is an object, or another one", str(self)) from error
        except (kinds.BaseError, TimeoutError) as error:
            raise self._refused(error) from error

    def ask(self, request: Callable[[Any, Any], Any]) -> Any:
        """Make a request, of obstore and with its store, again where the answer was cut off.

        Raises
        ------
        FileNotFoundError, FileExistsError
            Where there is no object, or one that should not be there.
        StorageError
            Where nothing comes of it.
        """
        for wait_s in (*WAITS_S, None):
            try:
                with self.told():
                    return request(obstore_for(self), self.client)
            except StorageError as error:
                if wait_s is None or not is_cut(error):
                    raise
                time.sleep(wait_s)
        return None

    def _refused(self, error: Exception) -> StorageError:
        """Say why the object store did not do what was asked, and what to do about it."""
        whole = str(error)
        text = " ".join(whole.partition("Debug source")[0].split())
        code = re.search(r"<Code>(\w+)</Code>", whole)
        status = re.search(r"status code: (\d+ [\w ]*\w)", text)
        said = code[1] if code else status[1] if status else text[:200]
        settings = SETTINGS[self.root.partition(":")[0]]
        if said in ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "PermanentRedirect"):
            remedy = f"there is no bucket {self.root} ({said}); mind the URL, the region and the endpoint"
        elif "Expired" in said or said in ("RequestTimeTooSkewed", "TokenRefreshRequired"):
            remedy = f"the credentials have expired ({said}); renew them, and run the same command again"
        elif re.search(r"\b40[13]\b", status[1] if status else "") or re.search(
            r"Denied|Unauth", type(error).__name__
        ):
            remedy = f"access denied ({said}); give credentials that may ({settings or 'URL'}…)"
        elif re.search(r"169\.254\.169\.254|metadata|[Cc]redential|must be specified", text):
            remedy = (
                f"no credentials; set {settings}… in the environment, or {settings}SKIP_SIGNATURE=true for a "
                "public bucket"
            )
        else:
            remedy = f"can't be reached ({said}); mind endpoint and network, and run the same command again"
        return StorageError(f"{self}: {remedy}")

    def stat(self) -> SimpleNamespace:
        """``st_size``: bytes of the object."""
        meta = self.ask(lambda obstore, client: obstore.head(client, self.key))
        return SimpleNamespace(st_size=meta["size"])

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there is anything below; on a web server a group or an array of Zarr."""
        if not self.listed:
            return (self / "zarr.json").is_file()
        return next(self.below(), None) is not None

    def exists(self) -> bool:
        """Whether there is anything of this name, or below it."""
        return self.is_dir() or (bool(self.key) and self.is_file())

    def is_symlink(self) -> bool:
        """Never: object stores have no links."""
        return False

    def below(self) -> Iterator[tuple[str, int]]:
        """Names and bytes of all objects below."""
        if not self.listed:
            raise StorageError(
                f"{self}: what lies on a web server can't be listed; use s3://, gs:// or az://"
            )
        start = len(self.key) + 1 if self.key else 0
        prefix = f"{self.key}/" if self.key else None
        batches = self.ask(lambda obstore, client: [*obstore.list(client, prefix)])
        return ((item["path"][start:], item["size"]) for batch in batches for item in batch)

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Names right below."""
        yield from (self / name for name in sorted({name.partition("/")[0] for name, _ in self.below()}))

    def read_bytes(self) -> bytes:
        """Content of the object."""
        return self.version()[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """Content of the object as text."""
        return self.read_bytes().decode(encoding)

    def version(self) -> tuple[bytes, dict[str, str], datetime]:
        """Content of the object, what makes a new one the next to it, and when it was put."""

        def got(obstore: Any, client: Any) -> tuple[bytes, dict[str, str], datetime]:
            response = obstore.get(client, self.key)
            return bytes(response.bytes()), _next_to(response.meta), response.meta["last_modified"]

        return self.ask(got)  # type: ignore[no-any-return]

    def write_bytes(
        self, content: bytes, *, after: "str | Mapping[str, str]" = "overwrite"
    ) -> dict[str, str]:
        """Put an object, whole or not at all.

        Parameters
        ----------
        content
            What to put.
        after
            ``"create"`` where there is none, or next to the one that is meant, as an earlier call or
            ``version`` returned it; else FileExistsError.

        Returns
        -------
        What makes a new object the next to this one.
        """
        self.check_written()
        return _next_to(self.ask(lambda obstore, client: obstore.put(client, self.key, content, mode=after)))

    def check_written(self) -> None:
        """Raise an InputError where nothing can be written."""
        if not self.listed:
            raise InputError(f"{self}: nothing can be written to a web server; use s3://, gs:// or az://")

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Open the object to read it, or to put what was written when all was."""
        return io.BytesIO(self.read_bytes()) if mode == "rb" else _Written(self)

    def unlink(self, missing_ok: bool = True) -> None:
        """Delete the object; where there is none, none is left either."""
        delete([self])


def _next_to(meta: Mapping[str, Any]) -> dict[str, str]:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name) is not None}


class _Written(io.BytesIO):
    """What is to be put under a name, unless an exception leaves its ``with``."""

    def __init__(self, path: ObjectPath) -> None:
        super().__init__()
        self.path = path

    def __exit__(self, kind: Any, *more: Any) -> None:
        if kind is None:
            self.path.write_bytes(self.getvalue())
        self.close()


def obstore_for(place: ObjectPath) -> Any:
    """Import obstore.

    Raises
    ------
    InputError
        Where it is missing.
    """
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise InputError(
            f"{place}: a store by URL needs obstore: pip install 'region-support[object]'"
        ) from error
    return obstore


def is_cut(error: StorageError) -> bool:
    """Whether an answer ended before its end."""
    return (
        re.search(r"\bbody\b|decod|[Ii]ncomplete", str(error.__cause__).partition("Debug source")[0])
        is not None
    )


def delete(objects: Iterable[ObjectPath]) -> None:
    """Delete objects, many with one request."""
    some = [*objects]
    for one in some[:1]:
        one.check_written()
        try:
            one.ask(lambda obstore, client: obstore.delete(client, [each.key for each in some]))
        except FileNotFoundError:  # some stores say so, others do not
            for each in some if len(some) > 1 else ():
                each.unlink()
