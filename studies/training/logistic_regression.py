"""Multinomial logistic regression by L-BFGS: solves `Linear` heads, for one strength or for several in a row."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

STRENGTHS = (300.0, 100.0, 30.0, 10.0, 3.0)
"""The strengths that `Linear(strength=None)` tries, from the strongest: each solution is the start of the next."""

MAX_STEPS, TOLERANCE = 150, 1e-3

_ABSENT_LOGIT = -30.0
"""Added to the logits of a class without a training image, whose probability is then zero after rounding."""


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """A solved head.

    Args:
        strength: Strength of the penalty.
        kernel: (units, logits), for features as they are; one logit for two classes.
        bias: (logits,).
    """

    strength: float
    kernel: np.ndarray
    bias: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of the second class (n, 1), or of each class (n, classes)."""
        from scipy.special import expit, softmax

        logits = np.asarray(features @ self.kernel + self.bias, np.float64)
        return np.asarray(expit(logits) if logits.shape[1] == 1 else softmax(logits, axis=1))


def solve(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    weights: np.ndarray | None = None,
    units: Sequence[int] = (),
) -> Iterator[LinearSolution]:
    """Yield the solution for each strength, in the given order.

    The penalty is on the weights of features divided by the standard deviation of all features of their network, so
    that a strength means the same for every network. BLAS runs on one thread: small products are slower on several.

    Args:
        features: (n, units), or (n, views, units), whose images count once, not once for each view.
        labels: (n,), from 0 to `classes` - 1; at least two different ones.
        classes: Number of classes.
        strengths: Strengths of the L2 penalty, `1 / C` in scikit-learn.
        weights: Weight of each image (n,); None for 1.
        units: Number of features of each network, if there are several.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    views = features.shape[1] if features.ndim == 3 else 1
    rows = features.reshape(-1, features.shape[-1])
    parts = np.split(rows, np.cumsum(units)[:-1].astype(int), axis=1)
    scale = np.concatenate([np.full(part.shape[1], float(part.std()) or 1.0, np.float32) for part in parts])
    rows, labels = rows / scale, np.repeat(labels, views)
    weights = None if weights is None else np.repeat(weights, views)
    model = LogisticRegression(max_iter=MAX_STEPS, tol=TOLERANCE, warm_start=True)
    with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
        # A solution after the last step is as good as one that has converged, for a classifier.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in strengths:
            model.set_params(C=1 / (strength * views))
            model.fit(rows, labels, sample_weight=weights)
            kernel, bias = model.coef_.T / scale[:, None], model.intercept_
            yield LinearSolution(strength, *_with_absent(kernel, bias, model.classes_, classes))


def _with_absent(
    kernel: np.ndarray, bias: np.ndarray, present: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel and the bias with a logit for each class, also for those without a training image."""
    if len(present) == classes:
        return kernel.astype(np.float32), bias.astype(np.float32)
    if len(present) == 2:
        kernel, bias = np.hstack([np.zeros_like(kernel), kernel]), np.concatenate([[0.0], bias])
    full, offsets = np.zeros((len(kernel), classes), np.float32), np.full(classes, _ABSENT_LOGIT, np.float32)
    full[:, present], offsets[present] = kernel, bias
    return full, offsets + np.where(np.isin(np.arange(classes), present), 0, offsets[present].min()).astype(np.float32)
