"""Several worker processes on this machine: started, watched, replaced and shown by the process that was typed."""
