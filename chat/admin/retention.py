"""The rules of how long sessions are kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from chat.models import RetentionRule
from chat.retention import LONGEST_DAYS


class RetentionRuleForm(forms.ModelForm):  # type: ignore[type-arg] # generic in its stubs alone
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "agent" in self.fields:
            self.fields["agent"].help_text = "The name of an agent. Empty: all agents that have no rule of their own."
        if "days" in self.fields:
            self.fields["days"] = forms.IntegerField(
                min_value=1,
                max_value=LONGEST_DAYS,
                help_text="How long a session is kept after its last event. What is older is deleted for good when the rules are"
                " next applied; “manage.py applyretention --dry-run” says how many sessions that is.",
            )


@admin.register(RetentionRule)
class RetentionRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic in its stubs alone
    form = RetentionRuleForm
    list_display = ["of_agent", "days"]
    ordering = ["agent"]

    @admin.display(description="agent", ordering="agent", empty_value="all others")
    def of_agent(self, rule: RetentionRule) -> str | None:
        return rule.agent or None
