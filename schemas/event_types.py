"""All event types."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from schemas.events.experiments import FeatureExposure, FeaturePerformance
from schemas.events.menus import MenuGenerated, MenuReady, NutritionAccuracy
from schemas.events.operations import AcceptedCount, DbSample, Deployment, ResourceUsage, SecuritySignal
from schemas.events.people import Feedback, NpsResponse, OnboardingAbandoned, Payment, SatisfactionRating, UserSignedUp
from schemas.events.providers import CircuitStateChanged, ProviderAttempt, QueueJob
from schemas.events.recipes import RecipeSave, RecipeShare, RecipeView
from schemas.events.services import ApiRequest, ExternalApiCall, HealthCheck
from schemas.events.web import UxSignal, WebVital

AnyEvent = (
    MenuGenerated
    | MenuReady
    | ProviderAttempt
    | QueueJob
    | RecipeView
    | RecipeSave
    | RecipeShare
    | NutritionAccuracy
    | SatisfactionRating
    | NpsResponse
    | UserSignedUp
    | OnboardingAbandoned
    | WebVital
    | UxSignal
    | FeatureExposure
    | FeaturePerformance
    | ApiRequest
    | ExternalApiCall
    | Payment
    | ResourceUsage
    | DbSample
    | HealthCheck
    | CircuitStateChanged
    | Deployment
    | SecuritySignal
    | Feedback
    | AcceptedCount
)
Event = Annotated[AnyEvent, Field(discriminator="event_type")]

#: Event type → its TypedDict; views, documents and examples are made from it.
EVENT_TYPES: Final[dict[str, type]] = {
    "menu_generated": MenuGenerated,
    "menu_ready": MenuReady,
    "provider_attempt": ProviderAttempt,
    "queue_job": QueueJob,
    "recipe_view": RecipeView,
    "recipe_save": RecipeSave,
    "recipe_share": RecipeShare,
    "nutrition_accuracy": NutritionAccuracy,
    "satisfaction_rating": SatisfactionRating,
    "nps_response": NpsResponse,
    "user_signed_up": UserSignedUp,
    "onboarding_abandoned": OnboardingAbandoned,
    "web_vital": WebVital,
    "ux_signal": UxSignal,
    "feature_exposure": FeatureExposure,
    "feature_performance": FeaturePerformance,
    "api_request": ApiRequest,
    "external_api_call": ExternalApiCall,
    "payment": Payment,
    "resource_usage": ResourceUsage,
    "db_sample": DbSample,
    "health_check": HealthCheck,
    "circuit_state_changed": CircuitStateChanged,
    "deployment": Deployment,
    "security_signal": SecuritySignal,
    "feedback": Feedback,
    "accepted_count": AcceptedCount,
}
