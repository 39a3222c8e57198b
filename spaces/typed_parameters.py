"""`Int`, `Float` and `Choice` for space files: type checkers accept them in any field."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    def Int(low: int, high: int, step: int = 1, log: bool = False, default: int | None = None) -> Any: ...
    def Float(
        low: float, high: float, step: float | None = None, log: bool = False, default: float | None = None
    ) -> Any: ...
    def Choice(*options: Any, default: Any = None, **named: Any) -> Any: ...
else:
    from spaces.parameters import Choice, Float, Int

__all__ = ["Choice", "Float", "Int"]
