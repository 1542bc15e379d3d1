from tests.stack_fixtures import kafka

__all__ = ["kafka"]
