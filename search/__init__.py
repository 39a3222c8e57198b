"""The command line: starts searches and shows what they do."""
