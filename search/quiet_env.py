"""Environment variables that silence native libraries; set before they are imported."""

import logging
import os

# TensorFlow's C++ code writes notices past sys.stderr. It reads these variables once, on import; 2 keeps errors, and
# the user's own value wins. `search.display.stderr_filter` drops what is written before.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "GRPC_VERBOSITY": "ERROR", "GLOG_minloglevel": "2"}


def silence_native_logs() -> None:
    """Silence the notices of C++ libraries; call this before importing Keras."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Every trial traces its own model, which TensorFlow reports as a mistake.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
