"""One file per study. The file's name is the study's name; nothing else needs an edit."""
