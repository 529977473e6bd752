"""The budget stage: money that cannot be overspent. Reserve the worst case before, settle the real cost after."""

from helix.budget.middleware import BudgetMiddleware
from helix.budget.price import GroupPrices, ModelPrice, PriceTable

__all__ = ["BudgetMiddleware", "GroupPrices", "ModelPrice", "PriceTable"]
