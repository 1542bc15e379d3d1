"""One method per event type; editors complete every property, and a type checker refuses a wrong one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Unpack

if TYPE_CHECKING:
    from pipeline.sdk import fields


class EventMethods(ABC):
    """Properties of the event, and `user_id`, `session_id`, `trace`, `flags`, `occurred_at`. All return at once and raise nothing."""

    @abstractmethod
    def _capture(self, event_type: str, fields: Any) -> None: ...

    def menu_generated(self, **of: Unpack[fields.MenuGenerated]) -> None:
        """One request for a menu, answered or not."""
        self._capture("menu_generated", of)

    def menu_ready(self, **of: Unpack[fields.MenuReady]) -> None:
        """Somebody was told that the menu is there."""
        self._capture("menu_ready", of)

    def provider_attempt(self, **of: Unpack[fields.ProviderAttempt]) -> None:
        """One provider of the chain was asked for a menu, or was not; `Telemetry.attempt` measures and classifies it."""
        self._capture("provider_attempt", of)

    def queue_job(self, **of: Unpack[fields.QueueJob]) -> None:
        """One attempt of a job began or ended: exhausted is the last one that failed. `wait_ms` before it, `duration_ms` of it."""
        self._capture("queue_job", of)

    def recipe_view(self, **of: Unpack[fields.RecipeView]) -> None:
        """Somebody looked at a recipe; `time_spent_ms` is at most three hours: more is a tab left open."""
        self._capture("recipe_view", of)

    def recipe_save(self, **of: Unpack[fields.RecipeSave]) -> None:
        """Somebody kept a recipe; `time_spent_ms` is at most three hours: more is a tab left open."""
        self._capture("recipe_save", of)

    def recipe_share(self, **of: Unpack[fields.RecipeShare]) -> None:
        """Somebody showed a recipe to others; `time_spent_ms` is at most three hours: more is a tab left open."""
        self._capture("recipe_share", of)

    def nutrition_accuracy(self, **of: Unpack[fields.NutritionAccuracy]) -> None:
        """How far a menu's nutrients are what they should be; `accuracy_score` is a ratio."""
        self._capture("nutrition_accuracy", of)

    def satisfaction_rating(self, **of: Unpack[fields.SatisfactionRating]) -> None:
        """Somebody gave 1 to 5 stars, to a menu or to all of it."""
        self._capture("satisfaction_rating", of)

    def nps_response(self, **of: Unpack[fields.NpsResponse]) -> None:
        """How likely somebody is to recommend it: 9 and 10 promote, 0 to 6 detract."""
        self._capture("nps_response", of)

    def user_signed_up(self, **of: Unpack[fields.UserSignedUp]) -> None:
        """Somebody has an account now; `method` is how, such as email."""
        self._capture("user_signed_up", of)

    def onboarding_abandoned(self, **of: Unpack[fields.OnboardingAbandoned]) -> None:
        """Somebody left at `step` of the onboarding, `time_spent_ms` after it began: at most a day."""
        self._capture("onboarding_abandoned", of)

    def web_vital(self, **of: Unpack[fields.WebVital]) -> None:
        """One report of the web-vitals library; `value` is in ms, for CLS a score."""
        self._capture("web_vital", of)

    def ux_signal(self, **of: Unpack[fields.UxSignal]) -> None:
        """Somebody met an error on `page`, or clicked in vain; `replay_id` is the recording of it."""
        self._capture("ux_signal", of)

    def feature_exposure(self, **of: Unpack[fields.FeatureExposure]) -> None:
        """Somebody was shown `variant` of `flag`."""
        self._capture("feature_exposure", of)

    def feature_performance(self, **of: Unpack[fields.FeaturePerformance]) -> None:
        """How long `variant` of `flag` took in the browser, from start to end as it measures itself."""
        self._capture("feature_performance", of)

    def api_request(self, **of: Unpack[fields.ApiRequest]) -> None:
        """One HTTP request answered by a service; `route` is the path template, not the path."""
        self._capture("api_request", of)

    def external_api_call(self, **of: Unpack[fields.ExternalApiCall]) -> None:
        """One HTTP request answered by somebody else's service."""
        self._capture("external_api_call", of)

    def payment(self, **of: Unpack[fields.Payment]) -> None:
        """Somebody paid, or tried to; `reason` is why it failed."""
        self._capture("payment", of)

    def resource_usage(self, **of: Unpack[fields.ResourceUsage]) -> None:
        """How full a host is: processors, memory, the disk that is fullest."""
        self._capture("resource_usage", of)

    def db_sample(self, **of: Unpack[fields.DbSample]) -> None:
        """One number that a database says of itself; `metric` is its name, with the unit."""
        self._capture("db_sample", of)

    def health_check(self, **of: Unpack[fields.HealthCheck]) -> None:
        """One look at one thing a service needs, such as its database."""
        self._capture("health_check", of)

    def circuit_state_changed(self, **of: Unpack[fields.CircuitStateChanged]) -> None:
        """A provider's circuit breaker changed its state."""
        self._capture("circuit_state_changed", of)

    def deployment(self, **of: Unpack[fields.Deployment]) -> None:
        """A release is being put into service, is in service, or was taken back for `previous_release`."""
        self._capture("deployment", of)

    def security_signal(self, **of: Unpack[fields.SecuritySignal]) -> None:
        """Something that somebody who looks after security wants to know."""
        self._capture("security_signal", of)

    def feedback(self, **of: Unpack[fields.Feedback]) -> None:
        """Somebody said something."""
        self._capture("feedback", of)
