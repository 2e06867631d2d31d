"""What the dashboard's address may say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone

from agents.registry import AGENTS
from agents.tools import TOOLS
from chat.readings import readable_by
from chat.statistics.period import Period, between, last_days, last_hours
from chat.statistics.query import Dimension, Selection

RANGES = {
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    "custom": "From … to",
}
FIRST_DAY = date(2000, 1, 1)
LONGEST_DAYS = 366
MAX_LENGTHS = {"agent": 64, "model": 128, "tool": 128, "user": 150}


class DashboardForm(forms.Form):
    """Which runs, and how they are broken down. What can't be read is said beside its field."""

    range = forms.ChoiceField(choices=list(RANGES.items()))
    start = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    by = forms.ChoiceField(label="Broken down by", choices=[(one.value, one.value.capitalize()) for one in Dimension])
    agent = forms.CharField(max_length=64, required=False, widget=forms.TextInput(attrs={"list": "known-agents"}))
    model = forms.CharField(max_length=128, required=False)
    tool = forms.CharField(max_length=128, required=False, widget=forms.TextInput(attrs={"list": "known-tools"}))
    user = forms.CharField(max_length=150, required=False)

    user_id: int | None = None

    def __init__(self, data: Mapping[str, str], *, reader: Any) -> None:
        super().__init__(data)
        self._reader = reader

    @property
    def known_agents(self) -> list[str]:
        return sorted(AGENTS)

    @property
    def known_tools(self) -> list[str]:
        return sorted(TOOLS)

    def clean_user(self) -> str:
        """Raises where nobody of this name has anything to be counted: no numbers would look like nobody's."""
        name: str = self.cleaned_data["user"]
        if name:
            sessions = readable_by(self._reader).filter(**{f"owner__{get_user_model().USERNAME_FIELD}": name})
            self.user_id = sessions.order_by().values_list("owner_id", flat=True).first()
            if self.user_id is None:
                raise ValidationError("Nobody of this name has a session that you may read.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("range") != "custom" or self.errors:
            return cleaned
        start, end = cleaned.get("start"), cleaned.get("end") or timezone.localdate()
        if start is None:
            self.add_error("start", "Say from which day on.")
        elif start > end:
            self.add_error("end", "This day is before the first.")
        elif start < FIRST_DAY or end > timezone.localdate() + timedelta(days=1):
            self.add_error("start", f"Days from {FIRST_DAY:%Y} until today can be shown.")
        elif (end - start).days >= LONGEST_DAYS:
            self.add_error("end", f"No more than {LONGEST_DAYS} days can be shown at once.")
        return cleaned | {"end": end}

    @property
    def period(self) -> Period:
        """Of a form that is valid."""
        match self.cleaned_data["range"]:
            case "24h":
                return last_hours(24)
            case "custom":
                return between(self.cleaned_data["start"], self.cleaned_data["end"])
            case days:
                return last_days(int(days.removesuffix("d")))

    @property
    def dimension(self) -> Dimension:
        """Of a form that is valid."""
        return Dimension(self.cleaned_data["by"])

    @property
    def selection(self) -> Selection:
        """Of a form that is valid."""
        chosen = self.cleaned_data
        return Selection(agent=chosen["agent"], model=chosen["model"], tool=chosen["tool"], user_id=self.user_id)
