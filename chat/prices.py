"""What a model's tokens cost, by `MODEL_PRICES`."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings

PER = 1_000_000


def cost_of(model: str, *, input_tokens: int, output_tokens: int) -> Decimal | None:
    """US dollars for so many tokens of a model, named with its provider or without; None where it has no price."""
    prices = settings.MODEL_PRICES
    price = prices.get(model) or prices.get(model.partition(":")[2])
    if price is None:
        return None
    return (price[0] * input_tokens + price[1] * output_tokens) / PER
