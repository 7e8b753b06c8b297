"""Counters for Prometheus, in its text format (version 0.0.4)."""

from collections import Counter, defaultdict

BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)  # seconds


class Metrics:
    """What has been counted since the start."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()  # (route, status)
        self.refusals: Counter[str] = Counter()
        self._below: Counter[tuple[str, float]] = Counter()
        self._sum: defaultdict[str, float] = defaultdict(float)
        self._count: Counter[str] = Counter()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.answers[route, status] += 1
        self._count[route] += 1
        self._sum[route] += seconds
        for bucket in BUCKETS:
            if seconds <= bucket:
                self._below[route, bucket] += 1

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """Return everything; `gauges`: name -> (help, value)."""
        lines = ["# HELP sat2map_http_responses_total Answers by route and status.",
                 "# TYPE sat2map_http_responses_total counter"]  # fmt: skip
        for (route, status), count in sorted(self.answers.items()):
            lines.append(f'sat2map_http_responses_total{{route="{route}",status="{status}"}} {count}')
        lines += ["# HELP sat2map_refused_total Requests refused because of load, by reason.",
                  "# TYPE sat2map_refused_total counter"]  # fmt: skip
        lines += [
            f'sat2map_refused_total{{reason="{reason}"}} {n}' for reason, n in sorted(self.refusals.items())
        ]
        name = "sat2map_http_response_seconds"
        lines += [f"# HELP {name} Time until an answer was complete.", f"# TYPE {name} histogram"]
        for route in sorted(self._count):
            lines += [
                f'{name}_bucket{{route="{route}",le="{bucket}"}} {self._below[route, bucket]}'
                for bucket in BUCKETS
            ]
            lines.append(f'{name}_bucket{{route="{route}",le="+Inf"}} {self._count[route]}')
            lines.append(f'{name}_sum{{route="{route}"}} {self._sum[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {self._count[route]}')
        for gauge, (text, value) in gauges.items():
            kind = "counter" if gauge.endswith("_total") else "gauge"
            lines += [
                f"# HELP sat2map_{gauge} {text}",
                f"# TYPE sat2map_{gauge} {kind}",
                f"sat2map_{gauge} {value:g}",
            ]
        return "\n".join(lines) + "\n"
