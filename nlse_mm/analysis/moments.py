"""Mean and spread of what comes one at a time."""

import torch
from torch import Tensor


class RunningMoments:
    r"""Mean and standard deviation of tensors of one shape, in constant memory.

    .. math:: m_n = m_{n-1} + \frac{x_n - m_{n-1}}{n}, \quad
              M_n = M_{n-1} + (x_n - m_{n-1}) (x_n - m_n)

    Welford, Note on a Method for Calculating Corrected Sums of Squares and Products,
    Technometrics 4 (1962), in float64. Each element has a count of its own: values that
    aren't finite are left out.
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self.count = torch.zeros(shape, dtype=torch.long)
        self._mean = torch.zeros(shape, dtype=torch.float64)
        self._squares = torch.zeros(shape, dtype=torch.float64)

    def update(self, value: Tensor) -> None:
        """Take one more ``value``."""
        value = value.detach().to("cpu", torch.float64)
        finite = value.isfinite()
        self.count += finite
        before = torch.where(finite, value - self._mean, 0.0)
        self._mean += before / self.count.clamp(min=1)
        self._squares += before * torch.where(finite, value - self._mean, 0.0)

    @property
    def mean(self) -> Tensor:
        """NaN where nothing came."""
        return torch.where(self.count > 0, self._mean, torch.nan)

    @property
    def std(self) -> Tensor:
        """The sample's standard deviation; NaN for fewer than two values."""
        variance = self._squares / (self.count - 1)
        return variance.sqrt().where(self.count > 1, torch.nan)
