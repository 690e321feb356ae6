from champion.calibration.temperature_scaling import (
    TemperatureScaler,
    calibration_error,
    calibration_metrics,
    negative_log_likelihood,
    reliability_data,
)

__all__ = [
    "TemperatureScaler",
    "calibration_error",
    "calibration_metrics",
    "negative_log_likelihood",
    "reliability_data",
]
