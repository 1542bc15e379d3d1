"""What each method of the SDK takes: the properties of its event, and what can be said about any event. Read by type checkers only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from typing_extensions import TypedDict

from schemas.envelope import Trace
from schemas.events.experiments import FeatureExposureProperties, FeaturePerformanceProperties
from schemas.events.menus import MenuGeneratedProperties, MenuReadyProperties, NutritionAccuracyProperties
from schemas.events.operations import (
    DbSampleProperties,
    DeploymentProperties,
    ResourceUsageProperties,
    SecuritySignalProperties,
)
from schemas.events.people import (
    FeedbackProperties,
    NpsResponseProperties,
    OnboardingAbandonedProperties,
    PaymentProperties,
    SatisfactionRatingProperties,
    UserSignedUpProperties,
)
from schemas.events.providers import CircuitStateChangedProperties, ProviderAttemptProperties, QueueJobProperties
from schemas.events.recipes import RecipeProperties
from schemas.events.services import ApiRequestProperties, ExternalApiCallProperties, HealthCheckProperties
from schemas.events.web import UxSignalProperties, WebVitalProperties


class About(TypedDict, total=False):
    """Whom and what an event is about; `occurred_at` has a time zone, and is the moment of the call when it is not given."""

    user_id: str | None
    session_id: str | None
    trace: Trace | None
    flags: Mapping[str, str] | None
    occurred_at: datetime | None


class MenuGenerated(MenuGeneratedProperties, About): ...


class MenuReady(MenuReadyProperties, About): ...


class ProviderAttempt(ProviderAttemptProperties, About): ...


class QueueJob(QueueJobProperties, About): ...


class RecipeView(RecipeProperties, About): ...


class RecipeSave(RecipeProperties, About): ...


class RecipeShare(RecipeProperties, About): ...


class NutritionAccuracy(NutritionAccuracyProperties, About): ...


class SatisfactionRating(SatisfactionRatingProperties, About): ...


class NpsResponse(NpsResponseProperties, About): ...


class UserSignedUp(UserSignedUpProperties, About): ...


class OnboardingAbandoned(OnboardingAbandonedProperties, About): ...


class WebVital(WebVitalProperties, About): ...


class UxSignal(UxSignalProperties, About): ...


class FeatureExposure(FeatureExposureProperties, About): ...


class FeaturePerformance(FeaturePerformanceProperties, About): ...


class ApiRequest(ApiRequestProperties, About): ...


class ExternalApiCall(ExternalApiCallProperties, About): ...


class Payment(PaymentProperties, About): ...


class ResourceUsage(ResourceUsageProperties, About): ...


class DbSample(DbSampleProperties, About): ...


class HealthCheck(HealthCheckProperties, About): ...


class CircuitStateChanged(CircuitStateChangedProperties, About): ...


class Deployment(DeploymentProperties, About): ...


class SecuritySignal(SecuritySignalProperties, About): ...


class Feedback(FeedbackProperties, About): ...
