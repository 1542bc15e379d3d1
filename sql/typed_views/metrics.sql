CREATE OR REPLACE VIEW telemetry.metrics
(
    name String COMMENT 'Value of the column metric of other views',
    labels Array(String) COMMENT 'Keys of the column labels',
    unit String COMMENT 'Of the values: ms has durations in latency; empty for what is only counted',
    error_label String COMMENT 'The label that says whether an event is an error, empty when there are no errors',
    error_values Array(String) COMMENT 'Its values that are errors',
    total_values Array(String) COMMENT 'Its values that an error rate is of, empty for all'
)
AS SELECT
    name,
    labels,
    unit,
    error_label,
    error_values,
    total_values
FROM values('name String, labels Array(String), unit String, error_label String, error_values Array(String), total_values Array(String)',
    ('menu_generation', ['provider', 'outcome'], 'ms', 'outcome', ['failed'], []),
    ('provider_attempt', ['provider', 'outcome'], 'ms', 'outcome', ['breaker_open', 'denied', 'error', 'timeout'], []),
    ('api_request', ['service', 'route', 'status_class'], 'ms', 'status_class', ['5xx'], []),
    ('external_api_call', ['api', 'status_class'], 'ms', 'status_class', ['5xx'], []),
    ('feature_performance', ['flag', 'variant'], 'ms', '', [], []),
    ('web_vital', ['name', 'page', 'rating'], 'ms or score', 'rating', ['poor'], []),
    ('payment', ['outcome'], '', 'outcome', ['failed'], []),
    ('health_check', ['check', 'status'], 'ms', 'status', ['fail'], []),
    ('queue_job', ['queue', 'outcome'], 'ms', 'outcome', ['exhausted'], ['completed', 'exhausted']),
    ('recipe_interaction', ['action'], '', '', [], []),
    ('feature_exposure', ['flag', 'variant'], '', '', [], []),
    ('satisfaction_rating', [], 'rating', '', [], []),
    ('nps_response', [], 'score', '', [], []),
    ('nutrition_accuracy', ['provider'], 'ratio', '', [], []),
    ('resource_usage', ['host', 'resource'], 'ratio', '', [], []),
    ('events', ['event_type', 'service'], '', '', [], []))
COMMENT 'What is measured. Changes with the software only.';
