"""Files that outlive a process: artifacts and uploads, behind one small interface."""

from telecine.storage.store_urls import open_object_store

__all__ = ["open_object_store"]
