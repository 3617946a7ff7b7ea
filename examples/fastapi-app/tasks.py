from invoke_tasks import ns

__all__ = ["ns"]
