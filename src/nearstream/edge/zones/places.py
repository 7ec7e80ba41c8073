"""Where the regions and Local Zone groups are that records name, and how far apart two places are.

Coordinates are those of the cities and counties that AWS names for its regions and Local Zones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_EARTH_DIAMETER_KM = 12_742.0
_MOST_LAT, _MOST_LON = 90, 180


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees north and east."""

    lat: float
    lon: float

    def __post_init__(self) -> None:
        if abs(self.lat) > _MOST_LAT or abs(self.lon) > _MOST_LON:
            raise ValueError(f"latitude is -90 to 90 and longitude -180 to 180, not {self.lat}, {self.lon}")


def distance_km(one: Place, other: Place) -> float:
    """Along a great circle (haversine formula)."""
    lat, lon, lat2, lon2 = map(math.radians, (one.lat, one.lon, other.lat, other.lon))
    half = math.sin((lat2 - lat) / 2) ** 2 + math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return _EARTH_DIAMETER_KM * math.asin(math.sqrt(min(half, 1.0)))


REGIONS = {
    "us-east-1": Place(38.95, -77.45),
    "us-east-2": Place(39.96, -83.00),
    "us-west-1": Place(37.35, -121.96),
    "us-west-2": Place(45.84, -119.70),
    "us-gov-east-1": Place(39.96, -83.00),
    "us-gov-west-1": Place(45.84, -119.70),
    "ca-central-1": Place(45.50, -73.57),
    "ca-west-1": Place(51.05, -114.07),
    "mx-central-1": Place(20.59, -100.39),
    "sa-east-1": Place(-23.55, -46.63),
    "eu-west-1": Place(53.35, -6.26),
    "eu-west-2": Place(51.51, -0.13),
    "eu-west-3": Place(48.86, 2.35),
    "eu-central-1": Place(50.11, 8.68),
    "eu-central-2": Place(47.38, 8.54),
    "eu-north-1": Place(59.33, 18.07),
    "eu-south-1": Place(45.46, 9.19),
    "eu-south-2": Place(41.65, -0.88),
    "eusc-de-east-1": Place(52.41, 12.55),
    "af-south-1": Place(-33.92, 18.42),
    "il-central-1": Place(32.09, 34.78),
    "me-south-1": Place(26.07, 50.55),
    "me-central-1": Place(24.45, 54.38),
    "ap-south-1": Place(19.08, 72.88),
    "ap-south-2": Place(17.39, 78.49),
    "ap-southeast-1": Place(1.35, 103.82),
    "ap-southeast-2": Place(-33.87, 151.21),
    "ap-southeast-3": Place(-6.21, 106.85),
    "ap-southeast-4": Place(-37.81, 144.96),
    "ap-southeast-5": Place(3.14, 101.69),
    "ap-southeast-6": Place(-36.85, 174.76),
    "ap-southeast-7": Place(13.76, 100.50),
    "ap-northeast-1": Place(35.68, 139.69),
    "ap-northeast-2": Place(37.57, 126.98),
    "ap-northeast-3": Place(34.69, 135.50),
    "ap-east-1": Place(22.32, 114.17),
    "ap-east-2": Place(25.03, 121.57),
    "cn-north-1": Place(39.90, 116.41),
    "cn-northwest-1": Place(37.52, 105.19),
}
"""What latency records may name: regions alone, no zones."""

LOCAL_ZONE_GROUPS = {
    "us-west-2-lax-1": Place(34.05, -118.24),
    "us-west-2-hnl-1": Place(21.31, -157.86),
    "us-west-2-den-1": Place(39.74, -104.99),
    "us-west-2-phx-2": Place(33.45, -112.07),
    "us-west-2-las-1": Place(36.17, -115.14),
    "us-west-2-sea-1": Place(47.61, -122.33),
    "us-west-2-pdx-1": Place(45.52, -122.68),
    "us-east-1-atl-2": Place(33.75, -84.39),
    "us-east-1-bos-1": Place(42.36, -71.06),
    "us-east-1-chi-2": Place(41.88, -87.63),
    "us-east-1-dfw-2": Place(32.78, -96.80),
    "us-east-1-iah-2": Place(29.76, -95.37),
    "us-east-1-mci-1": Place(39.10, -94.58),
    "us-east-1-mia-2": Place(25.76, -80.19),
    "us-east-1-msp-1": Place(44.98, -93.27),
    "us-east-1-nyc-2": Place(40.71, -74.01),
    "us-east-1-phl-1": Place(39.95, -75.17),
}
"""Those in the United States; a fleet adds its own."""
