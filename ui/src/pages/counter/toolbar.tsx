// What a graph shows: the range, the step, the zone, each amount or the running total.
import { Choice } from '../../parts/choice';
import { go } from '../../state/address';
import { RANGES, type Span, stepsFor } from '../../words/range';
import { browserZone, stepName } from '../../words/time';
import { type View, viewHref } from '../../words/view';

const NAMES = { hour: 'Hour', day: 'Day', week: 'Week', month: 'Month', all: 'All' };

export interface ToolbarProps {
  view: View;
  span: Span | undefined;
  step: string | undefined;
  onMove(lengths: number): void;
}

export function Toolbar({ view, span, step, onMove }: ToolbarProps) {
  const option = (name: string, chosen: boolean, change: Partial<View>) => ({ name, chosen, href: viewHref({ ...view, ...change }) });
  const ranges = RANGES.map((range) =>
    option(NAMES[range], !view.zoom && view.range === range, { range, zoom: undefined, step: undefined }),
  );
  return (
    <div class="toolbar">
      <Choice label="Range" options={ranges} />
      <div class="movers">
        <button type="button" class="quiet" aria-label="Earlier" title="Earlier" disabled={!span} onClick={() => onMove(-0.5)}>‹</button>
        <button type="button" class="quiet" aria-label="Later" title="Later" disabled={!span} onClick={() => onMove(0.5)}>›</button>
        {view.zoom && <a class="button" href={viewHref({ ...view, zoom: undefined, step: undefined })}>Zoom out</a>}
      </div>
      <div class="toolbar-rest">
        <Choice
          label="Amounts"
          options={[option('Each step', !view.running, { running: false }), option('Running total', view.running, { running: true })]}
        />
        <Choice label="Time zone" options={zonesOf(view).map((zone) => option(zoneName(zone), view.zone === zone, { zone }))} />
        <select
          class="step"
          aria-label="Step"
          title="Step"
          value={view.step ?? ''}
          onChange={({ currentTarget: { value } }) => go(viewHref({ ...view, step: value || undefined }))}
        >
          <option value="">{step && !view.step ? `auto (${shortName(step)})` : 'auto'}</option>
          {stepChoices(view, span).map((choice) => <option key={choice} value={choice}>{shortName(choice)}</option>)}
        </select>
      </div>
    </div>
  );
}

function stepChoices({ step }: View, span: Span | undefined): string[] {
  const choices = span ? stepsFor(span) : [];
  return step && !choices.includes(step) ? [step, ...choices] : choices;
}

const shortName = (step: string): string => stepName(step).replace('minutes', 'min');

const zonesOf = ({ zone }: View): string[] => [...new Set([browserZone(), 'UTC', zone])];

const zoneName = (zone: string): string => (zone === 'UTC' ? 'UTC' : zone.slice(zone.lastIndexOf('/') + 1).replaceAll('_', ' '));
