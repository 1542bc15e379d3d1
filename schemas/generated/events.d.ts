// Made from schemas/ by `python -m schemas.generate`: change it there.

/** What every event has around its properties. */
export interface Envelope {
  /** Matches ^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$ */
  event_id: string;
  schema_version: 1;
  /** ISO 8601 with its zone, such as 2026-11-23T10:00:00.123Z. */
  occurred_at: string;
  source: Source;
  /** 1 to 200 characters. */
  user_id?: string | null;
  /** 1 to 200 characters. */
  session_id?: string | null;
  trace?: Trace | null;
  /** At most 64 names. */
  flags?: Record<string, string> | null;
  /** ISO 8601 with its zone, such as 2026-11-23T10:00:00.123Z. */
  sent_at?: string | null;
  /** At most 8 values. */
  bot_reasons?: Array<string> | null;
}

/**
 * How many events `source` accepted in the minute that began at `minute`: what is stored must be as many.
 *
 * `positions` are offsets, one for each partition of events.v1: all these events lie below. Only a gateway knows them.
 */
export interface AcceptedCountProperties {
  /** 1 to 100 characters. */
  source: string;
  /** Matches ^(199\d|20\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:00(\.000)?Z$ */
  minute: string;
  /** A whole number. 0 to 1000000000. */
  count: number;
  /** At most 12 values. */
  positions?: Array<number> | null;
}

/** One HTTP request answered by a service; `route` is the path template, not the path. */
export interface ApiRequestProperties {
  /** 1 to 100 characters. */
  method: string;
  /** 1 to 2048 characters. */
  route: string;
  /** A whole number. 100 to 599. */
  status_code: number;
  /** Milliseconds. 0 to 3600000. */
  duration_ms: number;
}

/** A provider's circuit breaker changed its state. */
export interface CircuitStateChangedProperties {
  /** 1 to 100 characters. */
  provider: string;
  from_state: "closed" | "open" | "half_open";
  to_state: "closed" | "open" | "half_open";
}

/** One number that a database says of itself; `metric` is its name, with the unit. */
export interface DbSampleProperties {
  /** 1 to 100 characters. */
  metric: string;
  value: number;
}

/** A release is being put into service, is in service, or was taken back for `previous_release`. */
export interface DeploymentProperties {
  phase: "started" | "finished" | "rolled_back";
  /** 1 to 100 characters. */
  release: string;
  /** 1 to 100 characters. */
  previous_release?: string | null;
}

/** One HTTP request answered by somebody else's service. */
export interface ExternalApiCallProperties {
  /** 1 to 100 characters. */
  api: string;
  /** A whole number. 100 to 599. */
  status_code: number;
  /** Milliseconds. 0 to 3600000. */
  duration_ms: number;
}

/** Somebody was shown `variant` of `flag`. */
export interface FeatureExposureProperties {
  /** 1 to 100 characters. */
  flag: string;
  /** 1 to 100 characters. */
  variant: string;
}

/** How long `variant` of `flag` took in the browser, from start to end as it measures itself. */
export interface FeaturePerformanceProperties {
  /** 1 to 100 characters. */
  flag: string;
  /** 1 to 100 characters. */
  variant: string;
  /** Milliseconds. 0 to 3600000. */
  duration_ms: number;
}

/** Somebody said something. */
export interface FeedbackProperties {
  /** 1 to 100 characters. */
  kind: string;
  /** At most 8192 characters. */
  detail?: string | null;
}

/** One look at one thing a service needs, such as its database. */
export interface HealthCheckProperties {
  /** 1 to 100 characters. */
  check: string;
  status: "pass" | "fail";
  /** Milliseconds. 0 to 3600000. */
  latency_ms: number;
  /** At most 8192 characters. */
  detail?: string | null;
}

/**
 * One request for a menu, answered or not.
 *
 * `outcome` is full (the first choice answered), degraded (a fallback or a template did) or failed (the user got nothing).
 */
export interface MenuGeneratedProperties {
  /** A whole number. 0 to 10000. */
  recipe_count: number;
  /** At most 100 values. */
  restrictions: Array<string>;
  /** Milliseconds. 0 to 3600000. */
  generation_time_ms: number;
  outcome: "full" | "degraded" | "failed";
  /** 1 to 100 characters. */
  provider?: string | null;
  /** 1 to 200 characters. */
  menu_id?: string | null;
  /** 1 to 100 characters. */
  error_type?: string | null;
}

/** Somebody was told that the menu is there. */
export interface MenuReadyProperties {
  /** 1 to 200 characters. */
  menu_id: string;
}

/** How likely somebody is to recommend it: 9 and 10 promote, 0 to 6 detract. */
export interface NpsResponseProperties {
  /** A whole number. 0 to 10. */
  score: number;
}

/** How far a menu's nutrients are what they should be; `accuracy_score` is a ratio. */
export interface NutritionAccuracyProperties {
  /** 1 to 200 characters. */
  menu_id: string;
  /** 0 to 1. */
  accuracy_score: number;
  /** 1 to 100 characters. */
  provider?: string | null;
}

/** Somebody left at `step` of the onboarding, `time_spent_ms` after it began: at most a day. */
export interface OnboardingAbandonedProperties {
  /** A whole number. 0 to 1000. */
  step: number;
  /** Milliseconds. 0 to 86400000. */
  time_spent_ms: number;
}

/** Somebody paid, or tried to; `reason` is why it failed. */
export interface PaymentProperties {
  outcome: "succeeded" | "failed";
  /** Cents. A whole number. 0 to 1000000000. */
  amount_cents?: number | null;
  /** 1 to 100 characters. */
  reason?: string | null;
}

/**
 * One provider was asked for a menu, as number `position` of the chain, or was not because its breaker was open or it was denied.
 *
 * `position` and `latency_ms` are absent where the sender did not know them, as in the seed's menu_generation_success.
 */
export interface ProviderAttemptProperties {
  /** 1 to 100 characters. */
  provider: string;
  /** A whole number. 0 to 100. */
  position?: number | null;
  outcome: "success" | "error" | "timeout" | "breaker_open" | "denied";
  /** Milliseconds. 0 to 3600000. */
  latency_ms?: number | null;
  /** 1 to 100 characters. */
  error_type?: string | null;
}

/** One attempt of a job began or ended: exhausted is the last one that failed. `wait_ms` before it, `duration_ms` of it. */
export interface QueueJobProperties {
  /** 1 to 100 characters. */
  queue: string;
  /** 1 to 200 characters. */
  job_id: string;
  /** A whole number. 0 to 1000. */
  attempt: number;
  outcome: "started" | "retried" | "completed" | "exhausted";
  /** Milliseconds. 0 to 86400000. */
  wait_ms?: number | null;
  /** Milliseconds. 0 to 3600000. */
  duration_ms?: number | null;
}

/** `time_spent_ms` is at most three hours: more is a tab left open. */
export interface RecipeProperties {
  /** 1 to 200 characters. */
  recipe_id: string;
  /** Milliseconds. 0 to 10800000. */
  time_spent_ms?: number | null;
}

/** How full a host is: processors, memory, the disk that is fullest. */
export interface ResourceUsageProperties {
  /** 1 to 100 characters. */
  host: string;
  /** Ratio, 1 is all. 0 to 1. */
  cpu_ratio: number;
  /** Ratio, 1 is all. 0 to 1. */
  memory_ratio: number;
  /** Ratio, 1 is all. 0 to 1. */
  disk_ratio: number;
}

/** Somebody gave 1 to 5 stars, to a menu or to all of it. */
export interface SatisfactionRatingProperties {
  /** A whole number. 1 to 5. */
  rating: number;
  /** 1 to 200 characters. */
  menu_id?: string | null;
}

/** Something that somebody who looks after security wants to know. */
export interface SecuritySignalProperties {
  /** 1 to 100 characters. */
  kind: string;
  /** At most 8192 characters. */
  detail?: string | null;
}

/** Who says so. */
export interface Source {
  /** 1 to 100 characters. */
  service: string;
  /** 1 to 100 characters. */
  version?: string | null;
  /** 1 to 100 characters. */
  environment: string;
}

/** W3C trace context, hexadecimal. */
export interface Trace {
  /** At most 64 characters. */
  trace_id: string;
  /** At most 32 characters. */
  span_id?: string | null;
}

/** Somebody has an account now; `method` is how, such as email. */
export interface UserSignedUpProperties {
  /** 1 to 100 characters. */
  method?: string | null;
}

/** Somebody met an error on `page`, or clicked in vain; `replay_id` is the recording of it. */
export interface UxSignalProperties {
  kind: "error_encountered" | "rage_click" | "dead_click";
  /** 1 to 2048 characters. */
  page: string;
  /** 1 to 200 characters. */
  replay_id?: string | null;
}

/**
 * One report of the web-vitals library; `value` is in ms, for CLS a score of at most 100. FID is what older versions have for INP.
 *
 * What counts is the rating that `schemas.web_vitals` gives the value; `rating` is what the sender says.
 */
export interface WebVitalProperties {
  name: "LCP" | "INP" | "CLS" | "FCP" | "TTFB" | "FID";
  /** 0 to 3600000. */
  value: number;
  rating: "good" | "needs-improvement" | "poor";
  /** 1 to 2048 characters. */
  page: string;
  /** 1 to 200 characters. */
  metric_id?: string | null;
  delta?: number | null;
  /** 1 to 100 characters. */
  navigation_type?: string | null;
  /** 1 to 100 characters. */
  device?: string | null;
}

export interface MenuGenerated extends Envelope {
  event_type: "menu_generated";
  properties: MenuGeneratedProperties;
}

export interface MenuReady extends Envelope {
  event_type: "menu_ready";
  properties: MenuReadyProperties;
}

export interface ProviderAttempt extends Envelope {
  event_type: "provider_attempt";
  properties: ProviderAttemptProperties;
}

export interface QueueJob extends Envelope {
  event_type: "queue_job";
  properties: QueueJobProperties;
}

export interface RecipeView extends Envelope {
  event_type: "recipe_view";
  properties: RecipeProperties;
}

export interface RecipeSave extends Envelope {
  event_type: "recipe_save";
  properties: RecipeProperties;
}

export interface RecipeShare extends Envelope {
  event_type: "recipe_share";
  properties: RecipeProperties;
}

export interface NutritionAccuracy extends Envelope {
  event_type: "nutrition_accuracy";
  properties: NutritionAccuracyProperties;
}

export interface SatisfactionRating extends Envelope {
  event_type: "satisfaction_rating";
  properties: SatisfactionRatingProperties;
}

export interface NpsResponse extends Envelope {
  event_type: "nps_response";
  properties: NpsResponseProperties;
}

export interface UserSignedUp extends Envelope {
  event_type: "user_signed_up";
  properties: UserSignedUpProperties;
}

export interface OnboardingAbandoned extends Envelope {
  event_type: "onboarding_abandoned";
  properties: OnboardingAbandonedProperties;
}

export interface WebVital extends Envelope {
  event_type: "web_vital";
  properties: WebVitalProperties;
}

export interface UxSignal extends Envelope {
  event_type: "ux_signal";
  properties: UxSignalProperties;
}

export interface FeatureExposure extends Envelope {
  event_type: "feature_exposure";
  properties: FeatureExposureProperties;
}

export interface FeaturePerformance extends Envelope {
  event_type: "feature_performance";
  properties: FeaturePerformanceProperties;
}

export interface ApiRequest extends Envelope {
  event_type: "api_request";
  properties: ApiRequestProperties;
}

export interface ExternalApiCall extends Envelope {
  event_type: "external_api_call";
  properties: ExternalApiCallProperties;
}

export interface Payment extends Envelope {
  event_type: "payment";
  properties: PaymentProperties;
}

export interface ResourceUsage extends Envelope {
  event_type: "resource_usage";
  properties: ResourceUsageProperties;
}

export interface DbSample extends Envelope {
  event_type: "db_sample";
  properties: DbSampleProperties;
}

export interface HealthCheck extends Envelope {
  event_type: "health_check";
  properties: HealthCheckProperties;
}

export interface CircuitStateChanged extends Envelope {
  event_type: "circuit_state_changed";
  properties: CircuitStateChangedProperties;
}

export interface Deployment extends Envelope {
  event_type: "deployment";
  properties: DeploymentProperties;
}

export interface SecuritySignal extends Envelope {
  event_type: "security_signal";
  properties: SecuritySignalProperties;
}

export interface Feedback extends Envelope {
  event_type: "feedback";
  properties: FeedbackProperties;
}

export interface AcceptedCount extends Envelope {
  event_type: "accepted_count";
  properties: AcceptedCountProperties;
}

export type TelemetryEvent =
  | MenuGenerated
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
  | AcceptedCount;

export type EventType = TelemetryEvent["event_type"];

/** The properties of an event type: PropertiesOf<"web_vital">. */
export type PropertiesOf<T extends EventType> = Extract<TelemetryEvent, { event_type: T }>["properties"];

/** What POST /v1/events takes: an event without event_id gets one. With one of its own, a retry is the same event. */
export type SentEvent = WithOptionalId<TelemetryEvent>;
type WithOptionalId<E> = E extends TelemetryEvent ? Omit<E, "event_id"> & Partial<Pick<E, "event_id">> : never;
