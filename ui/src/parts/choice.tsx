// A few exclusive choices as a row of links, so that each of them has an address.
export interface ChoiceProps {
  label: string;
  options: { name: string; href: string; chosen: boolean }[];
}

export function Choice({ label, options }: ChoiceProps) {
  return (
    <nav class="choice" aria-label={label}>
      {options.map(({ name, href, chosen }) => (
        <a key={name} href={href} aria-current={chosen ? 'true' : undefined}>{name}</a>
      ))}
    </nav>
  );
}
