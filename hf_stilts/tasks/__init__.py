"""One file per task. The file's name is the task's name; nothing else needs an edit."""
