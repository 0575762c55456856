"""Files that outlive a process: artifacts and uploads, behind one small interface."""
