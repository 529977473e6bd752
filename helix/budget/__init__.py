"""The budget stage: money that cannot be overspent. Reserve the worst case before, settle the real cost after."""

from helix.budget.middleware import BudgetMiddleware
from helix.budget.price import GroupPrices, PriceTable
from helix.budget.rates import ModelPrice
from helix.budget.row import read_row
from helix.budget.scopes import Rule

__all__ = ["BudgetMiddleware", "GroupPrices", "ModelPrice", "PriceTable", "Rule", "read_row"]
