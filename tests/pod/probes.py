"""Probes, as kubelet makes them."""

import urllib.error
import urllib.request

import grpc

SERVING = b"\x08\x01"
"""grpc.health.v1.HealthCheckResponse with status SERVING."""


def health_request(service):
    """grpc.health.v1.HealthCheckRequest."""
    name = service.encode()
    return b"\x0a" + bytes([len(name)]) + name if name else b""


def check_health(target, service, timeout):
    """Asks Health/Check of a gRPC server: whether it answers SERVING."""
    with grpc.insecure_channel(target, [("grpc.default_authority", "localhost")]) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", health_request, bytes)
        try:
            return check(service, timeout=timeout, wait_for_ready=True) == SERVING
        except grpc.RpcError:
            return False


def get(url, timeout):
    """Status and body of a GET; None where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


class Probe:
    """One of a container's probes: when it is due, and what its results mean."""

    def __init__(self, spec, resolve, now):
        self.spec, self._resolve = spec, resolve
        self._due = now + spec.get("initialDelaySeconds", 0)
        self._successes = self._failures = 0
        self.results = []

    def once(self):
        """One attempt."""
        timeout = self.spec.get("timeoutSeconds", 1)
        if "grpc" in self.spec:
            target = f"127.0.0.1:{self._resolve(self.spec['grpc']['port'])}"
            return check_health(target, self.spec["grpc"].get("service", ""), timeout)
        http = self.spec["httpGet"]
        answer = get(f"http://127.0.0.1:{self._resolve(http['port'])}{http['path']}", timeout)
        return answer is not None and 200 <= answer[0] < 400

    def tick(self, now):
        """Makes an attempt where one is due. True and False when a threshold is reached, else None."""
        if now < self._due:
            return None
        self._due = now + self.spec.get("periodSeconds", 10)
        succeeded = self.once()
        self.results.append(succeeded)
        self._successes = self._successes + 1 if succeeded else 0
        self._failures = 0 if succeeded else self._failures + 1
        if self._successes >= self.spec.get("successThreshold", 1):
            return True
        return False if self._failures >= self.spec.get("failureThreshold", 3) else None
