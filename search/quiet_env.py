"""What the libraries behind a command are told before they are imported."""

import logging
import os

# TensorFlow's C++ parts write notices past sys.stderr. They read these variables once, while they are imported; 2 keeps
# errors, and a user's own value wins. `search.display.stderr_filter` drops what they write before they have read them.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR", "GLOG_minloglevel": "2"}


def silence_native_logs() -> None:
    """Keep the notices of C++ libraries off the screen; to be called before Keras is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Every trial traces a model of its own, which TensorFlow takes for a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
